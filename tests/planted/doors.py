"""Faults in the doors through which the user's own data and nets come."""

from planted.fault import Mutant

RANDOM, ARRAYS = "data/test_random_transforms.py::", "data/test_as_data.py::"
OWN, CORPUS = "runs/test_own_files.py::", "test_input_corpus.py::test_an_input_is_read_as_its_maker_meant_it"

MUTANTS = {
    "datasets: one seed for all rows of an epoch": Mutant(
        "data/map_style.py",
        "reseed(0 if self.freeze else seed, row)",
        "reseed(0 if self.freeze else seed)",
        [RANDOM + "test_rows_differ_from_epoch_to_epoch_and_return_with_the_seed"],
    ),
    "datasets: transforms frozen by their row": Mutant(
        "data/sources.py",
        "self.rows.draw(index, seed)",
        "self.rows.gather(index)",
        [RANDOM + "test_rows_differ_from_epoch_to_epoch_and_return_with_the_seed"],
    ),
    "datasets: random transforms made resident": Mutant(
        "data/sources.py",
        "if not self.rows.fixed or len(self)",
        "if len(self)",
        [RANDOM + "test_rows_differ_from_epoch_to_epoch_and_return_with_the_seed"],
    ),
    "datasets: random states not given back": Mutant(
        "data/chance.py",
        "        torch.set_rng_state(states[0])\n",
        "        pass\n",
        [RANDOM + "test_global_random_states_are_left_alone"],
    ),
    "datasets: validation rows among the training rows": Mutant(
        "data/parts.py",
        "held_out = torch.arange(len(y) - len(val.y), len(y))",
        "held_out = torch.arange(len(val.y))",
        [RANDOM + "test_a_validation_dataset_of_its_own_is_not_transformed"],
    ),
    "loaders: rows of the dataset, not of the draw": Mutant(
        "data/loader.py",
        "        return len(self.labels)\n",
        "        return len(self.loader.dataset)\n",
        [CORPUS],
    ),
    "labels: classes in the order of their text": Mutant(
        "data/labels.py",
        "key=lambda k: int(texts[k])",
        "key=lambda k: texts[k]",
        ["data/test_labels.py::test_other_labels_keep_their_text"],
    ),
    "labels: test labels by their own classes": Mutant(
        "data/labels.py",
        "Labels(torch.from_numpy(order[y]), tuple(classes))",
        "Labels(torch.from_numpy(y), tuple(classes))",
        ["data/test_labels.py::test_a_test_part_may_lack_classes_and_have_another_type"],
    ),
    "plan: a net's file is known by its name alone": Mutant(
        "runs/plan.py",
        'own["net"] = nets.NETS.source_hash(self.net, nets.NETS.load(self.net))',
        "pass",
        [OWN + "test_path_and_hash_are_in_the_record"],
    ),
    "plan: the user's blocks are trained": Mutant(
        "runs/plan.py",
        "self.cls(copy.deepcopy(self.net)",
        "self.cls(self.net",
        [OWN + "test_blocks_in_memory_are_trained_as_a_copy"],
    ),
}
