# cmake -DOUT=file.cpp -DFUNCTION=embeddedX -DFILES=a.toml,b.toml -P EmbedMachines.cmake: writes the files as string literals of
# one source that defines the function.
string(REPLACE "," ";" FILES "${FILES}")
set(text "#include \"EmbeddedMachines.h\"\n\nnamespace mpopt::machine {\n\nstatic constexpr EmbeddedMachine kFiles[] = {\n")
foreach(file ${FILES})
  get_filename_component(name ${file} NAME_WLE)
  file(READ ${file} body)
  string(APPEND text "    {\"${name}\", R\"toml(${body})toml\"},\n")
endforeach()
string(APPEND text "};\n\nstd::span<const EmbeddedMachine> ${FUNCTION}() { return kFiles; }\n\n} // namespace mpopt::machine\n")
file(WRITE ${OUT} "${text}")
