"""Images: MNIST and similar sets, CIFAR, folders of pictures."""
