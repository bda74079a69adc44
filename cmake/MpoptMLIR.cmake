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

# Precompiled headers, which libraries and programs share. Those of LLVM and MLIR are most of what there is to compile.
#   mpopt_mlir_pch               MLIR, for the dialects
#   mpopt_dialects_pch           MLIR and the dialects
#   mpopt_dialects_throwing_pch  the same with exceptions, for tools, tests and what uses other libraries
function(mpopt_precompiled_header name header)
  add_library(${name} STATIC ${PROJECT_SOURCE_DIR}/cmake/Pch.cpp)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/include ${PROJECT_BINARY_DIR}/include)
  target_include_directories(${name} SYSTEM PRIVATE ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
  target_compile_definitions(${name} PRIVATE ${MPOPT_LLVM_DEFINITIONS})
  target_compile_options(${name} PRIVATE ${ARGN})
  target_precompile_headers(${name} PRIVATE ${PROJECT_SOURCE_DIR}/cmake/${header})
endfunction()
set(MPOPT_NO_EXCEPTIONS -fno-exceptions -funwind-tables)
mpopt_precompiled_header(mpopt_mlir_pch Pch.h ${MPOPT_NO_EXCEPTIONS})
mpopt_precompiled_header(mpopt_dialects_pch PchDialects.h ${MPOPT_NO_EXCEPTIONS})
mpopt_precompiled_header(mpopt_dialects_throwing_pch PchDialects.h)
set(MPOPT_DIALECT_HEADERS MpoptShdOpsIncGen MpoptShdInterfaceIncGen MpoptCollIncGen MpoptNNIncGen MpoptRTIncGen MpoptRTEnumsIncGen)
add_dependencies(mpopt_dialects_pch ${MPOPT_DIALECT_HEADERS})
add_dependencies(mpopt_dialects_throwing_pch ${MPOPT_DIALECT_HEADERS})

# mpopt_mlir_library(NAME sources... [DEPENDS targets...] [LINK libs...] [DIALECT | EXCEPTIONS | PRECOMPILE headers...]): a static library
# that uses MLIR through libMLIR.so. EXCEPTIONS compiles with exceptions; DIALECT is for what the precompiled dialects need; PRECOMPILE
# adds headers for a library of many sources.
function(mpopt_mlir_library name)
  cmake_parse_arguments(ARG "DIALECT;EXCEPTIONS" "" "DEPENDS;LINK;PRECOMPILE" ${ARGN})
  add_library(${name} STATIC ${ARG_UNPARSED_ARGUMENTS})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR}/include ${PROJECT_BINARY_DIR}/include)
  target_include_directories(${name} SYSTEM PUBLIC ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
  target_compile_definitions(${name} PRIVATE ${MPOPT_LLVM_DEFINITIONS})
  target_link_libraries(${name} PUBLIC ${ARG_LINK} MLIR LLVM)
  if(ARG_DEPENDS)
    add_dependencies(${name} ${ARG_DEPENDS})
  endif()
  if(ARG_EXCEPTIONS)
    target_precompile_headers(${name} REUSE_FROM mpopt_dialects_throwing_pch)
  else()
    target_compile_options(${name} PRIVATE ${MPOPT_NO_EXCEPTIONS})
    if(ARG_PRECOMPILE)
      target_precompile_headers(${name} PRIVATE ${PROJECT_SOURCE_DIR}/cmake/PchDialects.h ${ARG_PRECOMPILE})
    elseif(ARG_DIALECT)
      target_precompile_headers(${name} REUSE_FROM mpopt_mlir_pch)
    else()
      target_precompile_headers(${name} REUSE_FROM mpopt_dialects_pch)
    endif()
  endif()
endfunction()

# mpopt_mlir_program(NAME): the settings of a program (a tool or a test) whose sources use MLIR.
function(mpopt_mlir_program name)
  target_include_directories(${name} SYSTEM PRIVATE ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
  target_compile_definitions(${name} PRIVATE ${MPOPT_LLVM_DEFINITIONS})
  target_compile_options(${name} PRIVATE -fPIC) # as the precompiled header
  target_precompile_headers(${name} REUSE_FROM mpopt_dialects_throwing_pch)
endfunction()
