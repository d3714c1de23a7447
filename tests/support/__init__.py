"""What tests share: modules and data as users write them, a rigged training, a script for two processes."""
