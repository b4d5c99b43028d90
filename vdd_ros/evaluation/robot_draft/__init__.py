"""A first robot file from what a bag holds, with questions where a person has to decide."""
