package main

import (
	"strconv"
	"strings"

	"github.com/pgparallel/pgparallel/client"
)

// compression is what -z and -Z come to: -z is -Z gzip, unless there is a -Z.
func (c *backupCommand) compression() client.Compression {
	if c.Gzip && !c.Compress.given {
		return client.Compression{Method: client.CompressionGzip}
	}
	return c.Compress.Compression
}

// compression is the value of -Z.
type compression struct {
	client.Compression
	given bool
}

// UnmarshalText reads a level of gzip, 0 for no compression, or a method with or
// without a level, as pg_basebackup's parse_compress_options does.
func (c *compression) UnmarshalText(text []byte) error {
	method, detail, detailed := strings.Cut(string(text), ":")
	if level, err := strconv.Atoi(string(text)); err == nil {
		method, detail, detailed = "gzip", string(text), true
		if level == 0 {
			method, detailed = "none", false
		}
	}
	if strings.HasPrefix(method, "server-") {
		return usagef("cannot compress on the server: it sends files as they are, and the connections compress them here; use \"client-%s\"",
			strings.TrimPrefix(string(text), "server-"))
	}
	methods := map[string]client.CompressionMethod{
		"none": client.CompressionNone, "gzip": client.CompressionGzip, "lz4": client.CompressionLZ4, "zstd": client.CompressionZstd,
	}
	known := false
	if c.Method, known = methods[strings.TrimPrefix(method, "client-")]; !known {
		return usagef("unrecognized compression algorithm: %q", method)
	}
	c.Compression = client.Compression{Method: c.Method}
	c.given = true
	if !detailed {
		return nil
	}
	return c.detail(detail)
}

// detail reads a level, or a list of options.
func (c *compression) detail(detail string) error {
	if _, err := strconv.Atoi(detail); err == nil {
		detail = "level=" + detail
	}
	leveled := false
	for option := range strings.SplitSeq(detail, ",") {
		keyword, value, hasValue := strings.Cut(option, "=")
		var err error
		switch {
		case option == "":
			err = invalidCompression("found empty string where a compression option was expected")
		case keyword == "long":
			c.LongDistance, err = compressionFlag(keyword, value, hasValue)
		case keyword != "level" && keyword != "workers":
			err = invalidCompression("unrecognized compression option: %q", keyword)
		case !hasValue:
			err = invalidCompression("compression option %q requires a value", keyword)
		case keyword == "level":
			leveled = true
			c.Level, err = compressionNumber(keyword, value)
		default:
			c.Workers, err = compressionNumber(keyword, value)
		}
		if err != nil {
			return err
		}
	}
	return c.check(leveled)
}

func invalidCompression(format string, args ...any) error {
	return usagef("invalid compression specification: "+format, args...)
}

func compressionNumber(keyword, value string) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil {
		return 0, invalidCompression("value for compression option %q must be an integer", keyword)
	}
	return n, nil
}

// compressionFlag reads what is on if nothing else is said.
func compressionFlag(keyword, value string, hasValue bool) (bool, error) {
	switch strings.ToLower(value) {
	case "on", "yes", "true", "1":
		return true, nil
	case "off", "no", "false", "0":
		return false, nil
	}
	if hasValue {
		return false, invalidCompression("value for compression option %q must be a Boolean value", keyword)
	}
	return true, nil
}

// check says what is wrong with what was given. A level of 0, which stands for the default
// in package client, is none that can be asked for.
func (c *compression) check(leveled bool) error {
	given := c.Compression
	if leveled && given.Level == 0 {
		given.Level = -1
	}
	if err := given.Check(); err != nil {
		return &usageError{err.Error()}
	}
	return nil
}
