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
	c.Level, c.given = 0, true
	if !detailed {
		return nil
	}
	level, err := compressionLevel(detail)
	if err != nil {
		return err
	}
	if c.Level = level; c.Check() != nil || level == 0 {
		return c.levelError()
	}
	return nil
}

// compressionLevel reads a level, or a list of options with nothing but that.
func compressionLevel(detail string) (int, error) {
	value := detail
	if level, err := strconv.Atoi(detail); err == nil {
		return level, nil
	}
	for option := range strings.SplitSeq(detail, ",") {
		keyword, text, hasValue := strings.Cut(option, "=")
		switch {
		case option == "":
			return 0, usagef("invalid compression specification: found empty string where a compression option was expected")
		case keyword == "workers":
			return 0, usagef("invalid compression specification: compression option \"workers\" is not of use here: each connection compresses on its own")
		case keyword != "level":
			return 0, usagef("invalid compression specification: unrecognized compression option: %q", keyword)
		case !hasValue:
			return 0, usagef("invalid compression specification: compression option %q requires a value", keyword)
		}
		value = text
	}
	level, err := strconv.Atoi(value)
	if err != nil {
		return 0, usagef("invalid compression specification: value for compression option \"level\" must be an integer")
	}
	return level, nil
}

// levelError is what is wrong with a level that the method has not. A level of 0, which
// stands for the default in package client, is none that can be asked for.
func (c *compression) levelError() error {
	wrong := c.Compression
	if wrong.Level == 0 {
		wrong.Level = -1
	}
	return &usageError{wrong.Check().Error()}
}
