# Given to the build of ONNX's library, which compiles many small sources with the same large headers: together they take 0.4 of the time.
# protoc's output cannot be joined so: its sources use the same names.
set(CMAKE_UNITY_BUILD ON)
cmake_language(DEFER CALL set_target_properties onnx_proto PROPERTIES UNITY_BUILD OFF)
