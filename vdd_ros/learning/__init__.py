"""Everything that needs torch: networks, diffusion, students, methods, fitting, export."""
