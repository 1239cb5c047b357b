package config

import (
	"fmt"
	"os"
	"reflect"
)

// Load reads the defaults, then the file if one is named, then the environment, and
// checks the result. The error names file, line, key and reason of every mistake. The
// settings are returned with the error, as far as they were read.
func Load(file string, environ map[string]string) (*Settings, error) {
	s, r, err := read(file, environ)
	if err != nil || r == nil {
		return s, err
	}
	r.add(s.Check())
	return s, r.err()
}

// Examine is Load for "config check": it finds the mistakes in the files that the settings
// name, too.
func Examine(file string, environ map[string]string) (*Settings, error) {
	s, r, err := read(file, environ)
	if err != nil || r == nil {
		return s, err
	}
	r.add(s.Check())
	r.add(s.CheckFiles())
	if !(&Mistakes{List: r.list}).In("pages") {
		_, badLook := s.Renderer()
		r.add(badLook)
	}
	return s, r.err()
}

// Parse is Examine for a text that is not in a file yet, without the environment.
func Parse(text []byte) (*Settings, error) {
	fresh := Defaults()
	s, r := &fresh, &review{lines: map[string]int{}}
	if decodeSettings(text, s, r) {
		r.add(s.Check())
		r.add(s.CheckFiles())
	}
	return s, r.err()
}

// read reads file and environment over the defaults. Without a review the settings are not
// complete, and no check of them would be true.
func read(file string, environ map[string]string) (*Settings, *review, error) {
	fresh := Defaults()
	s, r := &fresh, &review{file: file, lines: map[string]int{}}
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return s, nil, fmt.Errorf("reading settings: %w", err)
		}
		whole := decodeSettings(text, s, r)
		r.add(checkSettingsFile(file, s.Database))
		if !whole {
			return s, nil, r.err()
		}
	}
	overlayEnvironment(s, environ, r)
	return s, r, nil
}

// yamlFields maps the keys of a settings struct to the types of their values.
func yamlFields(t reflect.Type) map[string]reflect.Type {
	fields := make(map[string]reflect.Type, t.NumField())
	for i := range t.NumField() {
		f := t.Field(i)
		fields[f.Tag.Get("yaml")] = f.Type
	}
	return fields
}

// settingKeys lists the keys of a settings struct in the order of the file.
func settingKeys(t reflect.Type) []string {
	keys := make([]string, 0, t.NumField())
	for i := range t.NumField() {
		keys = append(keys, t.Field(i).Tag.Get("yaml"))
	}
	return keys
}
