"""A report with something of everything in it."""

from lit_autotune import BatchSizeTrial, LRCurve, LRSuggestion, TunerConfig, TuningReport
from lit_autotune.planning.races import Heat
from lit_autotune.report.results import (
    AppliedValue,
    BatchSizeResult,
    ComparedValues,
    Comparison,
    LearningRateResult,
    StepFigure,
    StepTable,
)

CURVE = LRCurve(learning_rates=[10 ** (-6 + i / 10) for i in range(60)], losses=[2 - i / 60 for i in range(60)])
NASTY = "<script>alert(\"1\")</script> & 'more'"


def report(**fields):
    """The report, with some fields as given."""
    trials = (
        BatchSizeTrial(batch_size=1024, outcome="fits", seconds=1.25, peak_bytes=2**30, step_seconds=(1.0, 0.5)),
        BatchSizeTrial(batch_size=2048, outcome="out_of_memory", seconds=2.5, message=NASTY),
        BatchSizeTrial(batch_size=1536, outcome="over_budget", seconds=3.75, peak_bytes=2**31),
    )
    suggestions = (
        LRSuggestion(suggester="consensus", value=1e-3, quality="doubtful", reasons=("a first reason", "a second one")),
        LRSuggestion(suggester="valley", quality="doubtful", reasons=(NASTY,)),
    )
    heats = (Heat(learning_rate=2e-3, losses=(1.0, 0.5), score=0.25), Heat(learning_rate=4e-3, losses=(), score=9e9))
    values = (
        ComparedValues(name="present", batch_size=16, learning_rate=1e-2, steps=50, loss=2.5, seconds_per_epoch=20.0),
        ComparedValues(name="new", batch_size=1024, learning_rate=1e-3, steps=5, loss=0.75, verdict="better"),
    )
    return TuningReport(
        version="9.8.7",
        config=TunerConfig(use_batch_size_tuning=True, lr_suggester="consensus", options={"x": {"y": NASTY}}),
        batch_size=BatchSizeResult(
            strategy="power", old=16, chosen=1024, largest=1024, limit="memory", places=("datamodule.bs",),
            budget="1.5 GiB of 2 GiB", budget_bytes=3 * 2**29, trials=trials, reason=NASTY,
        ),
        learning_rate=LearningRateResult(
            suggester="consensus", old=1e-2, chosen=1e-3, suggested=1e-3, applied=True, places=("module.lr",),
            curve=CURVE, suggestions=suggestions, races=heats,
        ),
        comparison=Comparison(values=values, applied="new", judge="validation batches", share=0.25, verdict="better"),
        warnings=("a first warning", NASTY),
        trainer={"precision": "bf16-mixed"},
        keep=("datamodule.bs = 1024", "module.lr = 0.001"),
        steps={"mine": {"answer": "forty-two"}},
        applied=(AppliedValue(step="mine", places=("trainer.accumulate_grad_batches",), old=1, chosen=4),),
        tables=(StepTable(step="mine", title="Workers", columns=("workers", "note"), rows=((2, NASTY), (4, None))),),
        figures=(StepFigure(step="mine", title="A picture", svg="<svg xmlns='http://www.w3.org/2000/svg'></svg>"),),
    ).model_copy(update=fields)  # fmt: skip
