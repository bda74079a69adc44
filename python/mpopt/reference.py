"""ONNX Runtime, which results and times are compared with."""
import onnxruntime


def session(model, threads=0):
    """An inference session of a model file; `threads` of 0 means one per core."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def run(model, inputs):
    """The model's outputs by name."""
    opened = session(model)
    names = [output.name for output in opened.get_outputs()]
    return dict(zip(names, opened.run(names, inputs)))
