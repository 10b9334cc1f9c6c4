package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// describeMachine says where the figures come from.
func describeMachine(now time.Time) string {
	return fmt.Sprintf("%s, %d CPUs (%s), %s of memory, Linux %s, %s, load %s",
		now.UTC().Format("2006-01-02 15:04"), runtime.NumCPU(), cpuModel(readSystem("/proc/cpuinfo")), memoryOf(readSystem("/proc/meminfo")),
		kernelOf(readSystem("/proc/sys/kernel/osrelease")), runtime.Version(), loadOf(readSystem("/proc/loadavg")))
}

func readSystem(name string) string {
	text, _ := os.ReadFile(name) // what cannot be read is not told
	return string(text)
}

// valueOf is the value of the first line "name: value".
func valueOf(text, name string) string {
	for line := range strings.Lines(text) {
		if key, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "?"
}

func cpuModel(cpuinfo string) string { return valueOf(cpuinfo, "model name") }

func memoryOf(meminfo string) string {
	var kB int64
	if _, err := fmt.Sscanf(valueOf(meminfo, "MemTotal"), "%d kB", &kB); err != nil {
		return "?"
	}
	return inUnits(kB << 10)
}

// loadOf is how many processes have run or waited in the last minute.
func loadOf(loadavg string) string {
	first, _, found := strings.Cut(loadavg, " ")
	if !found {
		return "?"
	}
	return first
}

// kernelOf is the series of the kernel: 6.18 of 6.18.44-1.
func kernelOf(release string) string {
	parts := strings.SplitN(strings.TrimSpace(release), ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}
