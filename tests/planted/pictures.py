"""Faults in how pictures are read, in training and in prediction."""

from planted.fault import Mutant

_FILES, _FOLDER, _INPUTS = "data/images/test_files.py::", "data/images/test_folder.py::", "data/test_inputs.py::"

MUTANTS = {
    "pictures: transparency thrown away": Mutant(
        "data/images/files.py",
        "        if image.has_transparency_data:",
        "        if False:",
        [_FILES + "test_transparency_is_composited"],
    ),
    "pictures: not turned": Mutant(
        "data/images/files.py",
        "image = ImageOps.exif_transpose(image)",
        "pass",
        [_FILES + "test_exif_behind_the_pixels_of_a_png_counts"],
    ),
    "pictures: the first one decides on colour": Mutant(
        "data/images/sets.py",
        "any(picture.colour for picture in seen)",
        "seen[0].colour",
        [_FOLDER + "test_one_colour_picture_makes_the_set_colour"],
    ),
    "pictures: sixteen bits cut": Mutant(
        "data/images/files.py",
        ".astype(np.float32) / 65535",
        ".clip(0, 255).astype(np.float32) / 255",
        [_FILES + "test_sixteen_bits_are_a_share_of_65535"],
    ),
    "pictures: the validation part is drawn": Mutant(
        "data/images/folder.py",
        'if files["val"] else None',
        "if False else None",
        [_FOLDER + "test_the_folder_val_is_the_validation_part"],
    ),
    "inputs: bytes for any floats": Mutant(
        "data/inputs.py",
        'training.get("low", -1.0) >= 0 and 0.5 < training["high"] <= 1',
        "True",
        [_INPUTS + "test_bytes_are_refused_where_floats_were_no_brightness"],
    ),
}
