//go:build !linux

package clientkit

// notUTF8 is in UTF-8 here: file systems refuse what is not.
const notUTF8 = "global/café"
