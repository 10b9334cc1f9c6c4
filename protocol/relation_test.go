package protocol

import (
	"fmt"
	"regexp"
	"testing"

	"pgregory.net/rapid"
)

func TestParseRelation(t *testing.T) {
	for _, test := range []struct {
		name  string
		want  Relation
		valid bool
	}{
		{"16384", Relation{16384, "", 0}, true},
		{"1", Relation{1, "", 0}, true},
		{"4294967295", Relation{4294967295, "", 0}, true},
		{"16384.1", Relation{16384, "", 1}, true},
		{"16384_fsm", Relation{16384, "fsm", 0}, true},
		{"16384_vm.12", Relation{16384, "vm", 12}, true},
		{"16384_init", Relation{16384, "init", 0}, true},
		{name: ""},
		{name: "0"},
		{name: "016384"},
		{name: "4294967296"},
		{name: "16384_"},
		{name: "16384_foo"},
		{name: "16384_fsm_vm"},
		{name: "16384."},
		{name: "16384.0"},
		{name: "16384.01"},
		{name: "16384.1.1"},
		{name: "16384.1_vm"},
		{name: "+16384"},
		{name: "16384 "},
		{name: "t3_16384"},
		{name: "pg_filenode.map"},
		{name: "PG_VERSION"},
	} {
		got, valid := ParseRelation(test.name)
		if got != test.want || valid != test.valid {
			t.Errorf("ParseRelation(%q) = %+v, %v, want %+v, %v", test.name, got, valid, test.want, test.valid)
		}
	}
}

func TestIsTemporaryRelation(t *testing.T) {
	for name, want := range map[string]bool{
		"t3_16384": true, "t12_16384.1": true, "t3_16384_fsm": true, "t3_16384_vm.2": true, "t3_16384_init": true,
		"t": false, "t3": false, "t3_": false, "t_3": false, "t3_16384_": false, "t3_16384_foo": false, "t3_16384.": false,
		"t3_16384.x": false, "16384": false, "toast": false, "t3_16384_fsm_vm": false, "T3_16384": false,
	} {
		if got := IsTemporaryRelation(name); got != want {
			t.Errorf("IsTemporaryRelation(%q) = %v", name, got)
		}
	}
}

// What the names of relations are, said another way.
var (
	relationName  = regexp.MustCompile(`^[1-9][0-9]{0,9}(_(fsm|vm|init))?(\.[1-9][0-9]{0,9})?$`)
	temporaryName = regexp.MustCompile(`^t[0-9]+_[0-9]+(_(fsm|vm|init))?(\.[0-9]+)?$`)
	nearlyName    = rapid.StringMatching(`t?[0-9]{0,3}[_.]?(fsm|vm|init|[0-9]{0,11})[_.]?(fsm|x|[0-9]{0,3})\.?[0-9]{0,2}`)
)

func TestRelationNames_Model(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { checkNames(t, nearlyName.Draw(t, "name")) })
}

func FuzzParseRelation(f *testing.F) {
	for _, name := range []string{"16384", "16384_vm.1", "t3_16384_fsm.1", "4294967296", "1.4294967296"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) { checkNames(t, name) })
}

func checkNames(t interface {
	Errorf(string, ...any)
}, name string) {
	if got, want := IsTemporaryRelation(name), temporaryName.MatchString(name); got != want {
		t.Errorf("IsTemporaryRelation(%q) = %v", name, got)
	}
	r, valid := ParseRelation(name)
	if !valid {
		// The model does not know that ten digits may be too many.
		if relationName.MatchString(name) && !regexp.MustCompile(`[0-9]{10}`).MatchString(name) {
			t.Errorf("ParseRelation(%q) is not valid", name)
		}
		return
	}
	again := fmt.Sprint(r.Number)
	if r.Fork != "" {
		again += "_" + r.Fork
	}
	if r.Segment != 0 {
		again += fmt.Sprint(".", r.Segment)
	}
	if again != name {
		t.Errorf("ParseRelation(%q) = %+v, which is the name %q", name, r, again)
	}
}
