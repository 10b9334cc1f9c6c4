package main

import (
	"fmt"
	"maps"
	"slices"
)

// reconfigure reads the configuration file again. Only the log's level takes effect; of
// the other parameters that were changed it is told that they need a restart. With an
// error in the file nothing changes.
func (s *service) reconfigure() {
	if s.options.Config == "" {
		return
	}
	set, fresh, err := s.options.reread()
	if err != nil {
		for _, one := range flatten(err) {
			s.log.Error(one.Error())
		}
		s.log.Error(fmt.Sprintf("configuration file %q contains errors; no changes were applied", s.options.Config))
		return
	}
	// What changes is told at the old level and at the new one.
	s.options.threshold.SetLevel(min(s.options.threshold.Level(), fresh.level()))
	defer s.options.threshold.SetLevel(fresh.level())
	changed := maps.Clone(set)
	maps.Copy(changed, s.set)
	for _, name := range slices.Sorted(maps.Keys(changed)) {
		was, is := s.set[name], set[name]
		if was == is {
			continue
		}
		if name == "log_level" || name == "verbose" {
			s.log.Info(fmt.Sprintf("parameter %q changed to %q", name, is))
			continue
		}
		s.log.Warn(fmt.Sprintf("parameter %q cannot be changed without restarting the server", name))
	}
	s.set["log_level"], s.set["verbose"] = set["log_level"], set["verbose"]
}

// reread takes the options of the command line, the environment and the file anew.
func (c *serveCommand) reread() (configuration, *serveCommand, error) {
	line := &commandLine{}
	parser, err := newParser(line)
	if err != nil {
		return nil, nil, err
	}
	if _, err := parser.Parse(c.line.Args); err != nil {
		return nil, nil, err
	}
	fresh := &line.Serve
	set, err := fresh.configure()
	if err == nil {
		err = fresh.check()
	}
	return set, fresh, err
}
