package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of CPU times in /proc (USER_HZ in the kernel's ABI).
const tick = time.Second / 100

// cpuTimes are user and system time together.
type cpuTimes struct {
	own    time.Duration // of the process and all its threads
	reaped time.Duration // of those of its children that it has waited for, and of theirs
}

// parseStat reads /proc/PID/stat (proc_pid_stat(5)). The name of the program, which may hold
// anything, is in parentheses.
func parseStat(text string) (cpuTimes, error) {
	end := strings.LastIndexByte(text, ')')
	fields := strings.Fields(text[end+1:]) // the first is the third field, state
	if end < 0 || len(fields) < 15 {
		return cpuTimes{}, fmt.Errorf("%q is no status of a process", text)
	}
	var times [4]time.Duration // utime, stime, cutime, cstime
	for i := range times {
		ticks, err := strconv.ParseInt(fields[11+i], 10, 64)
		if err != nil {
			return cpuTimes{}, fmt.Errorf("CPU time in the status of a process: %w", err)
		}
		times[i] = time.Duration(ticks) * tick
	}
	return cpuTimes{own: times[0] + times[1], reaped: times[2] + times[3]}, nil
}

// parsePeak reads VmHWM from /proc/PID/status: the most memory that the process had resident, in
// bytes. A process that is about to end has none any more.
func parsePeak(status string) (bytes int64, found bool) {
	for line := range strings.Lines(status) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kB, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kB << 10, err == nil
		}
	}
	return 0, false
}

func procFile(pid int, name string) string { return filepath.Join("/proc", strconv.Itoa(pid), name) }

// peakOf is how much memory a process had; 0 for one that has ended.
func peakOf(pid int) int64 {
	status, err := os.ReadFile(procFile(pid, "status"))
	if err != nil {
		return 0
	}
	bytes, _ := parsePeak(string(status))
	return bytes
}

// forgetPeak has the kernel count a process's peak from now on.
func forgetPeak(pid int) error { return os.WriteFile(procFile(pid, "clear_refs"), []byte("5"), 0) }

// childrenOf are the processes that a process has started and that it has not waited for yet.
func childrenOf(pid int) []int {
	lists, _ := filepath.Glob(procFile(pid, "task/*/children")) // the pattern is well formed
	var children []int
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			continue // the thread has ended
		}
		for field := range strings.FieldsSeq(string(text)) {
			if child, err := strconv.Atoi(field); err == nil {
				children = append(children, child)
			}
		}
	}
	return children
}

// descendantsOf are a process and all below it.
func descendantsOf(pid int) []int {
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		all = append(all, childrenOf(all[i])...)
	}
	return all
}

// treeCPU is the CPU time of a process and of all its descendants, whether they run or have been
// waited for. It never shrinks: the time of one that is waited for goes over to its parent.
func treeCPU(pid int) (time.Duration, error) {
	sum := time.Duration(0)
	for _, one := range descendantsOf(pid) {
		text, err := os.ReadFile(procFile(one, "stat"))
		if errors.Is(err, fs.ErrNotExist) && one != pid {
			continue // waited for meanwhile
		}
		if err != nil {
			return 0, err
		}
		times, err := parseStat(string(text))
		if err != nil {
			return 0, err
		}
		sum += times.own + times.reaped
	}
	return sum, nil
}

// titleOf is how a process calls itself; PostgreSQL's tell what they do.
func titleOf(pid int) string {
	text, _ := os.ReadFile(procFile(pid, "cmdline")) // none of one that has ended
	return strings.TrimRight(strings.ReplaceAll(string(text), "\x00", " "), " ")
}
