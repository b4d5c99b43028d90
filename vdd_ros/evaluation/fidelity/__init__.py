"""How faithful a student is to its teacher."""
