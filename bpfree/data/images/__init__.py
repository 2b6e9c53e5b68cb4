"""Images: MNIST and its kin, CIFAR, folders of pictures."""
