"""LoRA files of every dialect, and the maths on them. Modules marked * import no torch.

The model       delta       a change to one weight: LowRank, Hadamard (LoHa), Kronecker (LoKr), Full
                model       Lora: {module: Change}, with DoRA, biases and replaced weights; Magnitude
                names *     what modules are called elsewhere, a table for each family of models

Reading         reading *   `inspect` (header only), `load`           fits *      does it fit a base?
                dialects *, roles *, alphas *, patterns *, parts *, plan *, info *, seems *, header *, beside *
                (how keys and headers are understood)
                tensors     the weights, in one go                    pickles     .pt files, under weights_only

Writing         writing     `save` in three dialects                  atomic      whole files or none
                convert, pairs, modelspec *, lineage *: names, pairs and headers for the writer

Maths           core        exact factors, SVD from small matrices    core_space  TIES, DARE, KnOTS in the LoRAs' span
                merge, merge_module, blocks * (strengths by block), resize, criterion *, extract, compare, singular
                report, picture, drawing: what a LoRA does, in numbers and in a picture

Base models     checkpoint *  parameters of a base on disk, by canonical name; single_file *, quantised *, stored
                bake          LoRAs into a checkpoint, streaming

jobs            file in, file out: what nodes and commands do
"""
