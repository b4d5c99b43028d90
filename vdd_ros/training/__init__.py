"""Networks, teachers, students, distillation and export. The only layer that imports torch."""
