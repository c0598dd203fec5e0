package bench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// sample is what the system says of a process at one moment.
type sample struct {
	cpu          float64 // CPU time of all threads since it began, in microseconds
	user, system float64 // its parts, rounded to ticks
	rss, peak    int64   // resident memory, in bytes
	threads      int
}

// tick is the unit of CPU time in /proc, in microseconds: on Linux 1/100 s everywhere.
const tick = 10000

// sampleProcess asks /proc.
func sampleProcess(pid int) (sample, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return sample{}, fmt.Errorf("process %d: %w", pid, err)
	}
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return sample{}, fmt.Errorf("process %d: %w", pid, err)
	}
	s, err := parseSample(stat, status)
	if err != nil {
		return sample{}, fmt.Errorf("process %d: %w", pid, err)
	}
	if exact, ok := cpuTime(pid); ok {
		s.cpu = exact
	}
	return s, nil
}

// parseSample reads /proc/PID/stat and /proc/PID/status.
func parseSample(stat, status []byte) (s sample, err error) {
	// The second field is the name in parentheses and may hold anything.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 18 {
		return s, errors.New("/proc/PID/stat is not as expected")
	}
	number := func(text string) int64 {
		n, e := strconv.ParseInt(text, 10, 64)
		if e != nil {
			err = fmt.Errorf("/proc is not as expected: %w", e)
		}
		return n
	}
	s.user, s.system = float64(number(fields[11])*tick), float64(number(fields[12])*tick)
	s.cpu = s.user + s.system
	s.threads = int(number(fields[17]))
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		value, inKB := strings.CutSuffix(strings.TrimSpace(value), " kB")
		if !inKB {
			continue
		}
		switch name {
		case "VmRSS":
			s.rss = number(value) << 10
		case "VmHWM":
			s.peak = number(value) << 10
		}
	}
	return s, err
}

// broker compares two samples; operations are what the CPU time is divided by.
func broker(pid int, before, from, to sample, operations uint64, seconds float64) *Broker {
	b := &Broker{PID: pid, RSSBefore: before.rss, RSS: to.rss, RSSPeak: to.peak, Threads: to.threads}
	cpu := to.cpu - from.cpu
	if operations > 0 {
		b.CPUPerOp = cpu / float64(operations)
	}
	if user, system := to.user-from.user, to.system-from.system; user+system > 0 {
		b.UserPerOp = b.CPUPerOp * user / (user + system)
		b.SystemPerOp = b.CPUPerOp - b.UserPerOp
	}
	if seconds > 0 {
		b.CPUPercent = cpu / 1e4 / seconds
	}
	return b
}
