package main

import (
	"io"
	"os"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// logOptions say how serve logs.
type logOptions struct {
	LogFormat logFormat `default:"text"`
	LogLevel  logLevel  `default:"info"`
	Verbose   bool      `short:"v"`

	threshold zap.AtomicLevel // set by open
}

// logFormat is the value of --log-format.
type logFormat string

// UnmarshalText implements encoding.TextUnmarshaler, by which the value is parsed.
func (f *logFormat) UnmarshalText(text []byte) error {
	if *f = logFormat(text); *f != "text" && *f != "json" {
		return usagef(`invalid log format %q, must be "text" or "json"`, text)
	}
	return nil
}

// logLevel is the value of --log-level.
type logLevel zapcore.Level

// UnmarshalText implements encoding.TextUnmarshaler, by which the value is parsed.
func (l *logLevel) UnmarshalText(text []byte) error {
	levels := map[string]zapcore.Level{
		"debug": zap.DebugLevel, "info": zap.InfoLevel, "warning": zap.WarnLevel, "warn": zap.WarnLevel, "error": zap.ErrorLevel,
	}
	level, known := levels[string(text)]
	if !known {
		return usagef(`invalid log level %q, must be "debug", "info", "warning" or "error"`, text)
	}
	*l = logLevel(level)
	return nil
}

// level is what an entry must have to be logged.
func (o *logOptions) level() zapcore.Level {
	if o.Verbose {
		return zap.DebugLevel
	}
	return zapcore.Level(o.LogLevel)
}

// open makes the log. Its threshold can be changed later.
func (o *logOptions) open(w io.Writer) *zap.Logger {
	o.threshold = zap.NewAtomicLevelAt(o.level())
	encoder := textEncoder()
	if o.LogFormat == "json" {
		encoder = jsonEncoder()
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(w)), o.threshold))
}

// textEncoder writes one line an entry: the time, the level, the message, and the
// particulars as JSON.
func textEncoder() zapcore.Encoder {
	config := entryEncoding
	config.EncodeTime = zapcore.TimeEncoderOfLayout("2006-01-02 15:04:05.000 MST")
	config.EncodeLevel = zapcore.CapitalLevelEncoder
	config.EncodeDuration = zapcore.StringDurationEncoder
	config.ConsoleSeparator = " "
	return zapcore.NewConsoleEncoder(config)
}

// jsonEncoder writes one object an entry. Times are of RFC 3339, durations seconds.
func jsonEncoder() zapcore.Encoder {
	config := entryEncoding
	config.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	config.EncodeLevel = zapcore.LowercaseLevelEncoder
	config.EncodeDuration = zapcore.SecondsDurationEncoder
	return zapcore.NewJSONEncoder(config)
}

// entryEncoding names what both forms have.
var entryEncoding = zapcore.EncoderConfig{TimeKey: "time", LevelKey: "level", MessageKey: "message"}

// newTextLog is a log of everything, for the demonstration.
func newTextLog(w *os.File) *zap.Logger {
	return zap.New(zapcore.NewCore(textEncoder(), zapcore.Lock(w), zap.DebugLevel))
}
