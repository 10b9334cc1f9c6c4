package main

import (
	"context"
	"errors"
	"os/exec"
	"slices"
	"time"
)

// noSync has neither end wait for the disk.
const noSync = "-N"

// withSource makes a cluster that pgparallel serves, and removes it after use.
func (b *bench) withSource(ctx context.Context, major int, o sourceOptions, use func(*source) error) (err error) {
	s, err := newSource(ctx, b.programsOf(major), o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.startServe(ctx, b.pgparallel, "", ""); err != nil {
		return err
	}
	return use(s)
}

// measure runs a comparison, and puts it into the table.
func (b *bench) measure(ctx context.Context, c *comparison) error {
	if len(c.subjects) == 0 {
		return nil
	}
	c.limit = time.Duration(float64(b.time) * c.share())
	err := c.run(ctx, b.rounds, b.progress)
	if whole := c.dropUnfinishedRound(); whole > 0 {
		b.rows = append(b.rows, c.rows()...)
		b.measured = append(b.measured, c)
		if whole < b.rounds {
			b.leaveOut("%d of %d rounds to %s", b.rounds-whole, b.rounds, c.to)
		}
	}
	return err
}

// newComparison is one whose target is in a directory. Its arguments are those that the clients
// take for -N, or none.
func (b *bench) newComparison(s *source, parent string, args ...string) (*comparison, error) {
	place, err := lookUpFilesystem(parent)
	if err != nil {
		return nil, err
	}
	sync := "with sync"
	if slices.Contains(args, noSync) {
		sync = noSync
	}
	return &comparison{source: s, parent: parent, onDisk: place.kind != "tmpfs", to: place.String() + ", " + sync}, nil
}

// comparePaths has large files go over each path into memory, and over a socket to the disk.
func (b *bench) comparePaths(ctx context.Context) error {
	o := sourceOptions{parent: b.tmpfs, fill: fillLarge(b.size), tls: b.only.has("tls")}
	return b.withSource(ctx, mainMajor, o, func(s *source) error {
		c, err := b.newComparison(s, b.tmpfs, noSync)
		if err != nil {
			return err
		}
		c.goal = goalMemory
		if b.only.has("unix", "descriptors", "pgbackrest", "cp") {
			b.addUnix(ctx, c)
		}
		for _, p := range []struct{ kind, name string }{{"tcp", "TCP"}, {"tls", "TLS"}} {
			if b.only.has(p.kind) {
				b.addPath(c, p.name)
			}
		}
		if err := b.measure(ctx, c); err != nil {
			return err
		}
		return b.compareDisk(ctx, s)
	})
}

// addPath adds pg_basebackup and pgparallel over one path.
func (b *bench) addPath(c *comparison, path string, args ...string) (baseline *subject) {
	baseline = c.source.pgBasebackup(c.source.postgresAt(path), noSync)
	c.beside(nil, baseline)
	for _, jobs := range b.jobs {
		c.beside(baseline, c.source.pgparallel(c.source.serveAt(path), jobs, append(args, noSync)...))
	}
	return baseline
}

// mostJobs is the -j whose memory is told.
const mostJobs = 8

// addUnix adds what is compared with pg_basebackup over the Unix socket.
func (b *bench) addUnix(ctx context.Context, c *comparison) {
	baseline := b.addPath(c, "unix", b.noDescriptors...)
	if b.only.has("unix") {
		c.beside(baseline, c.source.pgparallel(c.source.serveAt("unix"), mostJobs, append(b.noDescriptors, noSync)...))
	}
	if b.only.has("descriptors") {
		b.addDescriptors(c, baseline, b.jobs)
	}
	if b.only.has("pgbackrest") {
		b.addPgBackRest(ctx, c, baseline)
	}
	if b.only.has("cp") {
		c.beside(baseline, c.source.cp())
	}
}

// addDescriptors adds pgparallel as it is over the Unix socket without further options.
func (b *bench) addDescriptors(c *comparison, baseline *subject, jobs []int) {
	if b.noDescriptors == nil {
		b.leaveOut("descriptors, which this pgparallel does not have")
		return
	}
	for _, n := range jobs {
		s := c.source.pgparallel(c.source.serveAt("unix"), n, noSync)
		s.path = "descriptors"
		c.beside(baseline, s)
	}
}

// addPgBackRest adds it where it knows the cluster's major.
func (b *bench) addPgBackRest(ctx context.Context, c *comparison, baseline *subject) (added bool) {
	program, err := exec.LookPath(b.options.pgbackrest)
	if err != nil {
		b.leaveOut("pgBackRest, which is not there")
		return false
	}
	switch version, err := c.source.tryPgBackRest(ctx, program); {
	case errors.Is(err, errUnknownMajor):
		b.leaveOut("pgBackRest %s with PostgreSQL %d, which it does not know", version, c.source.programs.Major)
		return false
	case err != nil:
		b.leaveOut("pgBackRest %s with PostgreSQL %d: %v", version, c.source.programs.Major, err)
		return false
	default:
		for _, n := range b.jobs {
			c.beside(baseline, c.source.pgBackRest(program, version, n))
		}
	}
	b.withPgBackRest = true
	return true
}

// compareDisk has large files go to a disk, and waits for it as the programs do by default.
func (b *bench) compareDisk(ctx context.Context, s *source) error {
	if !b.only.has("disk") {
		return nil
	}
	c, err := b.newComparison(s, b.disk)
	switch {
	case err != nil:
		return err
	case !c.onDisk:
		b.leaveOut("backups to a disk: %s is in memory; -disk names a directory", b.disk)
		return nil
	}
	baseline := s.pgBasebackup(s.postgresAt("unix"))
	c.beside(nil, baseline)
	for _, jobs := range b.jobs {
		c.beside(baseline, s.pgparallel(s.serveAt("unix"), jobs))
	}
	return b.measure(ctx, c)
}

// compareReflink has large files go to where they are, on a file system that can share blocks.
func (b *bench) compareReflink(ctx context.Context) (err error) {
	if b.noDescriptors == nil {
		b.leaveOut("XFS with reflink: this pgparallel has no descriptors")
		return nil
	}
	disk, err := newReflinkDisk(ctx, b.tmpfs, 4*int64(b.size)+2<<30)
	if err != nil {
		b.leaveOut("XFS with reflink: %v", err)
		return nil
	}
	defer func() { err = errors.Join(err, disk.close()) }()
	return b.withSource(ctx, mainMajor, sourceOptions{parent: disk.place, fill: fillLarge(b.size)}, func(s *source) error {
		c, err := b.newComparison(s, disk.place, noSync)
		if err != nil {
			return err
		}
		c.to, c.goal = "the same XFS, "+noSync, goalReflink
		baseline := s.pgBasebackup(s.postgresAt("unix"), noSync)
		c.beside(nil, baseline)
		last := b.jobs[len(b.jobs)-1]
		c.beside(baseline, s.pgparallel(s.serveAt("unix"), last, append(b.noDescriptors, noSync)...))
		b.addDescriptors(c, baseline, b.jobs)
		return b.measure(ctx, c)
	})
}

// majorPart is the part of the bytes that the clusters of the other majors have: there are many,
// and what differs among them shows with less.
const majorPart = 4

// compareMajors has each other major's pg_basebackup beside pgparallel, and pgBackRest with the
// newest major that it knows, if that is not the main one.
func (b *bench) compareMajors(ctx context.Context) error {
	_, missing := exec.LookPath(b.options.pgbackrest)
	wanted := b.only.has("pgbackrest") && !b.withPgBackRest && missing == nil
	for _, p := range slices.Backward(b.programs) {
		if p.Major == b.programsOf(mainMajor).Major || !wanted && !b.only.has("majors") {
			continue
		}
		size := b.size / majorPart
		if wanted {
			size = b.size
		}
		o := sourceOptions{parent: b.tmpfs, fill: fillLarge(max(size, 1e6))}
		err := b.withSource(ctx, p.Major, o, func(s *source) error {
			c, err := b.newComparison(s, b.tmpfs, noSync)
			if err != nil {
				return err
			}
			baseline := s.pgBasebackup(s.postgresAt("unix"), noSync)
			if wanted {
				wanted = !b.addPgBackRest(ctx, c, baseline)
			}
			if !b.only.has("majors") && len(c.subjects) == 0 {
				return nil
			}
			last := b.jobs[len(b.jobs)-1]
			ours := s.pgparallel(s.serveAt("unix"), last, append(b.noDescriptors, noSync)...)
			ours.against = baseline
			c.subjects = append([]*subject{baseline, ours}, c.subjects...)
			return b.measure(ctx, c)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// compareSmallFiles has many small files go into memory, and to a disk that is waited for.
func (b *bench) compareSmallFiles(ctx context.Context) error {
	memory, err := lookUpFilesystem(b.tmpfs)
	if err != nil {
		return err
	}
	if err := memory.checkSmallFiles(readSystem("/sys/kernel/mm/transparent_hugepage/shmem_enabled")); err != nil {
		b.leaveOut("small files: %v", err)
		return nil
	}
	o := sourceOptions{parent: b.tmpfs, fill: fillSmall(b.files)}
	return b.withSource(ctx, smallMajor, o, func(s *source) error {
		for _, place := range []struct {
			parent string
			jobs   []int
			args   []string
			goal   string
		}{
			{b.tmpfs, b.jobs, []string{noSync}, goalSmall},
			{b.disk, b.jobs[len(b.jobs)-1:], nil, goalSmallSync}, // each takes as long as all in memory
		} {
			c, err := b.newComparison(s, place.parent, place.args...)
			if err != nil {
				return err
			}
			c.goal, c.keeps = place.goal, c.onDisk
			if place.args == nil && !c.onDisk {
				b.leaveOut("small files to a disk: %s is in memory; -disk names a directory", b.disk)
				continue
			}
			baseline := s.pgBasebackup(s.postgresAt("unix"), place.args...)
			c.beside(nil, baseline)
			for _, jobs := range place.jobs {
				c.beside(baseline, s.pgparallel(s.serveAt("unix"), jobs, place.args...))
			}
			if err := b.measure(ctx, c); err != nil {
				return err
			}
		}
		return nil
	})
}
