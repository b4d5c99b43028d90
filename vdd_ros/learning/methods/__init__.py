"""Methods of training: teachers, distillation, maximum likelihood."""
