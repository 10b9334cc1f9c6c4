package main

import (
	"errors"
	"flag"
	"io"
	"strings"
	"testing"
)

func TestOptions(t *testing.T) {
	var o options
	if err := o.parse(strings.Fields("-size 0.2GB -rounds 3 -only unix,cp -jobs 1,16"), io.Discard); err != nil {
		t.Fatal(err)
	}
	if o.size != 200e6 || o.size.String() != "200MB" || o.jobs.String() != "1,16" || o.only.String() != "cp,unix" {
		t.Errorf("size %d, %v, jobs %v, only %v", o.size, &o.size, &o.jobs, &o.only)
	}
	if !o.only.has("tcp", "cp") || o.only.has("tcp") {
		t.Error("-only=unix,cp has no cp, or has tcp")
	}
	if err := o.parse(nil, io.Discard); err != nil || !o.only.has("tcp") || o.size.String() != "1.6GB" || o.rounds != 5 {
		t.Errorf("without options: %+v, %v", o, err)
	}
	for _, args := range []string{"-size 1", "-size -1GB", "-size 1TB", "-size x", "-rounds 0", "-only unix,nosuch", "-jobs 0", "-jobs 1,,2", "-files 9", "-nosuch", "-rounds 3 nosuch"} {
		if err := o.parse(strings.Fields(args), io.Discard); err == nil {
			t.Errorf("%s is taken", args)
		}
	}
	if err := o.parse([]string{"--help"}, io.Discard); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("--help is %v", err)
	}
}
