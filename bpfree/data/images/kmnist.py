"""Data ``kmnist``: 70,000 gray pictures of handwritten Japanese characters, 28x28."""

from bpfree.data.images.idx import Idx, remotes


class Kmnist(Idx):
    """Reader of Kuzushiji-MNIST (Clanuwat et al. 2018, arXiv 1812.01718): 70,000 pictures, 10,000 to test.

    The SHA-256 of the ``.gz`` files is checked, which fixes their payload: that of the payload itself is not published.
    """

    title, credit = "Kuzushiji-MNIST", "ROIS-DS Center for Open Data in the Humanities, CC BY-SA 4.0"
    names = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
    folder = "kmnist"
    layouts = ("kmnist", "KMNIST/raw")  # ours; torchvision
    files = remotes(("https://codh.rois.ac.jp/kmnist/dataset/kmnist/",), (18_165_135, 29_497, 3_041_136, 5_120))
    packed = (
        "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
        "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
        "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
        "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
    )
