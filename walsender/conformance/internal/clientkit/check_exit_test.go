package clientkit

import "testing"

func TestCrashTrace(t *testing.T) {
	for output, want := range map[string]string{
		"mybackup: fatal error: could not connect\n":                                          "",
		"fatal error: could not connect\n":                                                    "",
		"the handler says panic: no\n":                                                        "",
		"copying\npanic: index out of range\n\ngoroutine 1 [running]:\nmain.main()\n":         "panic: index out of range",
		"fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [chan receive]:\n": "fatal error: all goroutines are asleep - deadlock!",
		"Traceback (most recent call last):\n  File \"b.py\", line 1\n":                       "Traceback (most recent call last):",
		"Exception in thread \"main\" java.lang.NullPointerException\n":                       `Exception in thread "main" java.lang.NullPointerException`,
		"==4711==ERROR: AddressSanitizer: heap-use-after-free\n":                              "==4711==ERROR: AddressSanitizer: heap-use-after-free",
		"thread 'main' panicked at src/main.rs:2:5:\nexplicit panic\n":                        "thread 'main' panicked at src/main.rs:2:5:",
	} {
		if got := crashTrace(output); got != want {
			t.Errorf("%q: %q, want %q", output, got, want)
		}
	}
}
