"""Data ``cifar100``: 60,000 colour pictures of a hundred kinds of things, 32x32."""

from bpfree.data.fetching import Remote
from bpfree.data.images.cifar import Cifar

_NAMES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish
forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale willow_tree
wolf woman worm
"""


class Cifar100(Cifar):
    """Reader of CIFAR-100 (Krizhevsky 2009), fine labels: 50,000 pictures to train and validate, 10,000 to test."""

    title, credit = "CIFAR-100", "A. Krizhevsky 2009, no licence stated by its authors"
    names = tuple(_NAMES.split())
    labels = ("coarse_labels", "fine_labels")
    binary = ("cifar-100-binary", "train.bin", "test.bin")
    python = ("cifar-100-python", "train", "test")
    layouts = (
        binary[0],
        python[0],
        "cifar-100-python-target/cifar-100-python",  # keras 3
        "cifar-100-binary.tar.gz",
        "cifar-100-python.tar.gz",
    )
    files = (
        Remote("cifar-100-binary.tar.gz", ("https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",), 168_513_733),
    )
    payload = (
        "f31298fc616915fa142368359df1c4ca2ae984d6915ca468b998a5ec6aeebf29",
        "d8b1e6b7b3bee4020055f0699b111f60b1af1e262aeb93a0b659061746f8224a",
    )
