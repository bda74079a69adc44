"""Writes the ONNX graph of a well-known architecture, at any size, with weights that are only named.

  python -m mpopt.models gpt3-175b -o gpt3.onnx
  python -m mpopt.models llama --hidden 2048 --layers 16 --heads 32 --kv-heads 8 --inner 8192 --vocabulary 128256 -o small.onnx
"""
import argparse
import sys

from mpopt.models.graph import DTYPES, save
from mpopt.models.presets import ARCHITECTURES, PRESETS, build

SIZES = {
    "hidden": "width of a token's vector", "layers": "number of blocks", "heads": "query heads", "kv_heads": "key and value heads (llama)",
    "head_size": "width of a head (llama)", "inner": "width inside an MLP", "vocabulary": "tokens known (gpt, bert, llama)",
    "sequence": "positions known (gpt, bert)", "experts": "MLPs to choose from (llama)", "chosen": "MLPs chosen per token (llama)",
    "patch": "side of a patch, pixels (vit)", "image": "side of the image, pixels (vit)", "classes": "classes (vit)",
}


def main():
    parser = argparse.ArgumentParser(prog="python -m mpopt.models", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="MODEL", help=f"an architecture ({', '.join(ARCHITECTURES)}) or a preset ({', '.join(PRESETS)})")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="ONNX file to write")
    parser.add_argument("--dtype", default="float32", choices=DTYPES, help="type of weights and activations (default float32)")
    parser.add_argument("--weights-file", default="weights.bin", metavar="NAME", help="the external data file that the weights name")
    for name, text in SIZES.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, metavar="N", help=text)
    options = vars(parser.parse_args())
    sizes = {name: options[name] for name in SIZES if options[name] is not None}
    try:
        save(build(options["model"], dtype=options["dtype"], weights_file=options["weights_file"], **sizes), options["output"])
    except (ValueError, OSError) as error:
        sys.exit(f"mpopt.models: {error}")


if __name__ == "__main__":
    main()
