package main

import "testing"

func TestMachine(t *testing.T) {
	for got, want := range map[string]string{
		cpuModel("processor\t: 0\nmodel name\t: AMD EPYC 7B13: 64\nmodel name\t: another\n"): "AMD EPYC 7B13: 64",
		cpuModel("processor: 0\n"):                "?",
		memoryOf("MemTotal:       24683656 kB\n"): "25.3GB",
		memoryOf(""):                             "?",
		loadOf("22.89 17.67 9.07 4/400 12345\n"): "22.89",
		loadOf(""):                               "?",
		kernelOf("6.18.44-1-amd64\n"):            "6.18",
		kernelOf("6.18"):                         "6.18",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
