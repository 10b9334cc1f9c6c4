package protocol

// CheckPath holds a path of the protocol to the rules of §4.6: relative to the
// data directory, not empty, no "..", ".", "//", no slash at its end, no NUL.
// The error is a *[Error] with [CodeInvalidParameterValue]. Both ends call it on
// whatever the other sent before they touch a file.
func CheckPath(name string) error {
	if !isPath(name) {
		return Errorf(CodeInvalidParameterValue, "invalid file path %q", Shorten(name, 256))
	}
	return nil
}

// isPath reports whether all that lies between slashes is a name. It looks at each byte once:
// every path of a listing passes here several times.
func isPath(name string) bool {
	start := 0 // of the component
	for i := 0; i <= len(name); i++ {
		if i < len(name) && name[i] != '/' {
			if name[i] == 0 {
				return false
			}
			continue
		}
		switch component := name[start:i]; component {
		case "", ".", "..":
			return false
		}
		start = i + 1
	}
	return true
}
