# The CUDA schedules of the kernels, by nvcc for the GPU or by the host's compiler for the emulated device.
find_package(CUDAToolkit REQUIRED)
file(GLOB cuda_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/*.cu)
target_compile_definitions(stopgrad_kernels PUBLIC STOPGRAD_CUDA)
target_include_directories(stopgrad_kernels SYSTEM PUBLIC ${CUDAToolkit_INCLUDE_DIRS})

if(STOPGRAD_DEVICE STREQUAL "emulate")
  # Adds .cu files to a target; called where the target is made, as properties of sources belong to a folder.
  function(stopgrad_cuda_sources target)
    target_sources(${target} PRIVATE ${ARGN})
    set_source_files_properties(${ARGN} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "-xc++;-Wno-unknown-pragmas")
  endfunction()
  stopgrad_cuda_sources(stopgrad_kernels ${cuda_sources})
  file(GLOB emulator_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/emulator/*.cpp)
  list(FILTER emulator_sources EXCLUDE REGEX "/(planted_bugs|training_[a-z]*|test_[a-z_]*)[.]cpp$")
  add_library(stopgrad_emulator STATIC ${emulator_sources})
  target_link_libraries(stopgrad_emulator PUBLIC stopgrad_options)
  get_target_property(kernel_sources stopgrad_kernels SOURCES)
  list(FILTER kernel_sources EXCLUDE REGEX "/cuda_dlopen[.]cpp$")  # the stand-ins of the libraries are linked in
  set_target_properties(stopgrad_kernels PROPERTIES SOURCES "${kernel_sources}")
  target_include_directories(stopgrad_emulator SYSTEM PUBLIC ${CUDAToolkit_INCLUDE_DIRS})
  target_compile_definitions(stopgrad_kernels PUBLIC STOPGRAD_EMULATE)
  target_link_libraries(stopgrad_kernels PUBLIC stopgrad_emulator)
  return()
endif()

set(STOPGRAD_CUDA_ARCH "-gencode=arch=compute_80,code=sm_80;-gencode=arch=compute_90,code=[sm_90,compute_90]" CACHE STRING
    "nvcc's targets: sm_80, sm_90, and PTX of 9.0 for what comes after")
# nvcc is called directly: CMake 3.25 does not know that nvcc 13 speaks C++20. Multiply and add stay two roundings, so
# that elementwise work agrees with the CPU bit for bit; kernels ask for fmaf where they want it. A kernel that spills
# or uses local memory is an error. What ptxas says of each kernel is kept beside its object.
set(nvcc_flags -std=c++20 -O3 -lineinfo --fmad=false --expt-relaxed-constexpr ${STOPGRAD_CUDA_ARCH} -I${PROJECT_SOURCE_DIR}
    -DSTOPGRAD_CUDA -DFMT_USE_CONSTEXPR=1 -DFMT_SHARED -Xcompiler=-fPIC,-Wall,-Wextra,-ffp-contract=off,-march=${STOPGRAD_ARCH}
    -Xptxas=-v,-warn-spills,-warn-lmem-usage -Werror=all-warnings)
set(cuda_objects ${PROJECT_BINARY_DIR}/cuda)
file(MAKE_DIRECTORY ${cuda_objects})
function(stopgrad_cuda_sources target)
  foreach(source ${ARGN})
    get_filename_component(name ${source} NAME_WE)
    if(NOT target STREQUAL stopgrad_kernels)
      string(REPLACE "stopgrad_" "" prefix ${target})
      set(name ${prefix}_${name})  # a ladder's files have the names of the kernels'
    endif()
    add_custom_command(
      OUTPUT ${cuda_objects}/${name}.o
      COMMAND ${PROJECT_SOURCE_DIR}/tools/nvcc.sh ${cuda_objects}/${name} ${CUDAToolkit_NVCC_EXECUTABLE} ${nvcc_flags} ${source}
      DEPENDS ${source} ${PROJECT_SOURCE_DIR}/tools/nvcc.sh
      DEPFILE ${cuda_objects}/${name}.d
      COMMENT "nvcc ${name}.cu" VERBATIM)
    target_sources(${target} PRIVATE ${cuda_objects}/${name}.o)
  endforeach()
endfunction()
stopgrad_cuda_sources(stopgrad_kernels ${cuda_sources})
target_link_libraries(stopgrad_kernels PUBLIC CUDA::cudart_static ${CMAKE_DL_LIBS})
