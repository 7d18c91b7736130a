"""What is released: the portable wheel and the sdist, audited, installed and run (`make wheels`)."""
