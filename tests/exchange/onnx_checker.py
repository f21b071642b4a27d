"""Every model of a folder is valid for ONNX's own checker, and its shapes fit together: onnx_checker.py FOLDER"""
import pathlib
import sys

try:  # a folder of that name, which Debian's libonnx-testdata brings, is not enough
    import onnx
    from onnx import checker
except ImportError:
    print("python3-onnx is not installed")
    sys.exit(77)

models = sorted(pathlib.Path(sys.argv[1]).glob("*.onnx"))
failed = 0
for path in models:
    try:
        checker.check_model(str(path), full_check=True)
    except Exception as error:  # of many kinds
        failed += 1
        print(f"{path.name}: {error}")
print(f"onnx {onnx.__version__}: {len(models)} models checked, {failed} failed")
sys.exit(0 if models and not failed else 1)
