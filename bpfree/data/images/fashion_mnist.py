"""Data ``fashion-mnist``: 70,000 gray pictures of clothes, 28x28."""

from bpfree.data.images.idx import Idx, remotes


class FashionMnist(Idx):
    """Reader of Fashion-MNIST (Xiao, Rasul & Vollgraf 2017, arXiv 1708.07747): 70,000 pictures, 10,000 to test."""

    title, credit = "Fashion-MNIST", "H. Xiao, K. Rasul and R. Vollgraf (Zalando), MIT licence"
    names = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
    folder = "fashion-mnist"
    layouts = ("fashion-mnist", "FashionMNIST/raw")  # Debian and keras; torchvision
    files = remotes(
        (
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        ),
        (26_421_880, 29_515, 4_422_102, 5_148),
    )
    payload = (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    )
