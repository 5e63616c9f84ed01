"""What is put on devices: the Debian package and the bundles of the base models, built from ``firmware_images/``."""
