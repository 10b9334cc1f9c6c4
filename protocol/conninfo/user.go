package conninfo

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
)

// homeDir is the user's home directory (fe-connect.c, pqGetHomeDirectory).
func homeDir() (string, error) {
	if home := os.Getenv("HOME"); home != "" {
		return home, nil
	}
	u, err := effectiveUser()
	if err != nil {
		return "", err
	}
	return u.HomeDir, nil
}

// effectiveUser is who the process acts as.
func effectiveUser() (*user.User, error) {
	uid := strconv.Itoa(os.Geteuid())
	u, err := user.LookupId(uid)
	if err != nil {
		return nil, fmt.Errorf("could not look up user ID %s: %w", uid, err)
	}
	return u, nil
}
