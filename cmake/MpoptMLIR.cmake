# Finds Debian's LLVM/MLIR 22 and offers mpopt_mlir_library().
set(MLIR_DIR /usr/lib/llvm-22/lib/cmake/mlir CACHE PATH "")
set(LLVM_DIR /usr/lib/llvm-22/lib/cmake/llvm CACHE PATH "")
find_package(MLIR 22.1 REQUIRED CONFIG)
set(MLIR_LINK_MLIR_DYLIB ON) # MLIRConfig does not export it
set(LLVM_RUNTIME_OUTPUT_INTDIR ${CMAKE_BINARY_DIR}/bin)
set(LLVM_LIBRARY_OUTPUT_INTDIR ${CMAKE_BINARY_DIR}/lib)
set(MLIR_BINARY_DIR ${CMAKE_BINARY_DIR})
list(APPEND CMAKE_MODULE_PATH ${MLIR_CMAKE_DIR} ${LLVM_CMAKE_DIR})
include(TableGen)
include(AddLLVM)
include(AddMLIR)
include_directories(SYSTEM ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
separate_arguments(MPOPT_LLVM_DEFINITIONS NATIVE_COMMAND "${LLVM_DEFINITIONS}")

# A header that pulls in what most sources of the compiler include; each MLIR library precompiles it through reuse.
add_library(mpopt_mlir_pch STATIC ${PROJECT_SOURCE_DIR}/cmake/Pch.cpp)
target_include_directories(mpopt_mlir_pch SYSTEM PRIVATE ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
target_compile_definitions(mpopt_mlir_pch PRIVATE ${MPOPT_LLVM_DEFINITIONS})
target_compile_options(mpopt_mlir_pch PRIVATE -fno-exceptions -funwind-tables)
target_precompile_headers(mpopt_mlir_pch PRIVATE ${PROJECT_SOURCE_DIR}/cmake/Pch.h)

# mpopt_mlir_library(NAME sources... [DEPENDS targets...] [LINK libs...] [EXCEPTIONS]): a static library that uses MLIR through
# libMLIR.so. EXCEPTIONS compiles with exceptions and without the shared precompiled header (for users of other libraries).
function(mpopt_mlir_library name)
  cmake_parse_arguments(ARG "EXCEPTIONS" "" "DEPENDS;LINK" ${ARGN})
  add_library(${name} STATIC ${ARG_UNPARSED_ARGUMENTS})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR}/include ${PROJECT_BINARY_DIR}/include)
  target_include_directories(${name} SYSTEM PUBLIC ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
  target_compile_definitions(${name} PRIVATE ${MPOPT_LLVM_DEFINITIONS})
  target_link_libraries(${name} PUBLIC ${ARG_LINK} MLIR LLVM)
  if(ARG_DEPENDS)
    add_dependencies(${name} ${ARG_DEPENDS})
  endif()
  if(NOT ARG_EXCEPTIONS)
    target_compile_options(${name} PRIVATE -fno-exceptions -funwind-tables)
    target_precompile_headers(${name} REUSE_FROM mpopt_mlir_pch)
  endif()
endfunction()
