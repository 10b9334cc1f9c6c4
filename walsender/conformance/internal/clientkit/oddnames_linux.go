package clientkit

// notUTF8 is the name of a file that is none in UTF-8.
const notUTF8 = "global/caf\xe9"
