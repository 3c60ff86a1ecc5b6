# Lets programs find cuDNN and cuBLASLt where Python's wheels have brought them (site-packages/nvidia/*/lib): adds those
# folders to LD_LIBRARY_PATH, behind what is there. Changes nothing where there are none.
#   . tools/gpu_libraries.sh
gpu_libraries=$(
  python3 - 2> /dev/null << 'END'
import glob
import nvidia
print(":".join(folder for part in nvidia.__path__ for folder in sorted(glob.glob(part + "/*/lib"))))
END
) || gpu_libraries=
[ -z "$gpu_libraries" ] || export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$gpu_libraries"
unset gpu_libraries
