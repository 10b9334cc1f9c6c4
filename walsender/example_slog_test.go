package walsender_test

import (
	"context"
	"log/slog"
	"os"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// slogCore hands the lines of a zap.Logger to a slog.Handler.
type slogCore struct{ handler slog.Handler }

// slogLevels are slog's levels by zap's; those above are errors, too.
var slogLevels = map[zapcore.Level]slog.Level{zap.DebugLevel: slog.LevelDebug, zap.InfoLevel: slog.LevelInfo, zap.WarnLevel: slog.LevelWarn}

func slogLevel(level zapcore.Level) slog.Level {
	if l, known := slogLevels[level]; known {
		return l
	}
	return slog.LevelError
}

func (c slogCore) Enabled(level zapcore.Level) bool {
	return c.handler.Enabled(context.Background(), slogLevel(level))
}

func (c slogCore) With(fields []zapcore.Field) zapcore.Core {
	return slogCore{c.handler.WithAttrs(attributes(fields))}
}

func (c slogCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

func (c slogCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	record := slog.NewRecord(entry.Time, slogLevel(entry.Level), entry.Message, 0)
	record.AddAttrs(attributes(fields)...)
	return c.handler.Handle(context.Background(), record)
}

func (slogCore) Sync() error { return nil }

func attributes(fields []zapcore.Field) []slog.Attr {
	attributes := make([]slog.Attr, 0, len(fields))
	for _, field := range fields {
		encoder := zapcore.NewMapObjectEncoder()
		field.AddTo(encoder)
		for name, value := range encoder.Fields {
			attributes = append(attributes, slog.Any(name, value))
		}
	}
	return attributes
}

// A Server logs by slog: this is the adapter.
func ExampleServer_logger() {
	withoutTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	handler := slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTime})
	server := &walsender.Server{Cluster: walsendertest.Primary(), Logger: zap.New(slogCore{handler})}
	server.Logger.With(zap.String("user", "nightly")).Warn("backup failed", zap.Int64("files", 7), zap.Bool("damaged", false))
	// Output: level=WARN msg="backup failed" user=nightly files=7 damaged=false
}
