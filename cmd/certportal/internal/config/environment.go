package config

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// envPrefix opens the name of every environment variable the portal reads.
const envPrefix = "CERTPORTAL_"

// variable is a setting that an environment variable can give.
type variable struct {
	key   string
	value reflect.Value
	comma string // what separates the entries of a list
}

// overlayEnvironment lets environment variables win over the file. An empty variable counts
// as not set. A variable with the prefix that belongs to no setting is a mistake like an
// unknown key.
func overlayEnvironment(s *Settings, environ map[string]string, r *review) {
	// Container platforms set these for a service named like the portal.
	foreign := regexp.MustCompile(`^CERTPORTAL_(SERVICE_(HOST|PORT)|PORT)(_.*)?$`)
	known := variables(reflect.ValueOf(s).Elem(), envPrefix, "")
	for _, name := range slices.Sorted(maps.Keys(environ)) {
		text := environ[name]
		v, ok := known[name]
		switch {
		case !ok && (!strings.HasPrefix(name, envPrefix) || foreign.MatchString(name)):
		case !ok && s.overlayListed(name, text):
		case !ok:
			hint := ""
			if near := nearest(name, known); near != "" {
				hint = "; did you mean " + near + "?"
			}
			r.list = append(r.list, Mistake{Key: name, Text: "unknown variable" + hint})
		case text != "" && !v.set(text):
			r.list = append(r.list, Mistake{Key: name, Text: fmt.Sprintf("found %q: %s", text, wanted(v.value))})
			r.wrong = append(r.wrong, v.key)
		}
	}
}

// variables maps the environment variable of each setting, its keys in capitals joined by
// "_", to the setting. A list of structs has variables with an index only.
func variables(v reflect.Value, prefix, path string) map[string]variable {
	all := map[string]variable{}
	for i := range v.NumField() {
		field, f := v.Type().Field(i), v.Field(i)
		tag := field.Tag.Get("yaml")
		name := prefix + strings.ToUpper(tag)
		switch {
		case f.Kind() == reflect.Struct:
			maps.Copy(all, variables(f, name+"_", path+tag+"."))
		case f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Struct:
		default:
			all[name] = variable{key: path + tag, value: f, comma: cmp.Or(field.Tag.Get("envSeparator"), ",")}
		}
	}
	return all
}

// set gives the setting a value, and reports whether the text can be one.
func (v variable) set(text string) bool {
	switch {
	case v.value.Kind() == reflect.String:
		v.value.SetString(text)
	case v.value.Kind() == reflect.Slice:
		var list []string
		for one := range strings.SplitSeq(text, v.comma) {
			list = append(list, strings.TrimSpace(one))
		}
		v.value.Set(reflect.ValueOf(list))
	case v.value.Type() == reflect.TypeFor[time.Duration]():
		d, err := time.ParseDuration(text)
		v.value.SetInt(int64(d))
		return err == nil
	case v.value.Kind() == reflect.Bool:
		b, err := strconv.ParseBool(text)
		v.value.SetBool(b)
		return err == nil
	default:
		n, err := strconv.Atoi(text)
		v.value.SetInt(int64(n))
		return err == nil
	}
	return true
}

// overlayListed sets a field of an entry of a list, such as CERTPORTAL_ANCHORS_0_NAME, and
// reports whether the variable is one of those.
func (s *Settings) overlayListed(name, text string) bool {
	m := regexp.MustCompile(`^CERTPORTAL_([A-Z]+)_([0-9]{1,3})_([A-Z_]+)$`).FindStringSubmatch(name)
	if m == nil {
		return false
	}
	fields, n := reflect.ValueOf(s).Elem(), 0
	for i := range fields.NumField() {
		list := fields.Field(i)
		if list.Kind() != reflect.Slice || list.Type().Elem().Kind() != reflect.Struct ||
			strings.ToUpper(fields.Type().Field(i).Tag.Get("yaml")) != m[1] {
			continue
		}
		v, ok := variables(reflect.New(list.Type().Elem()).Elem(), "", "")[m[3]]
		if !ok || !v.set(text) {
			return false
		}
		n, _ = strconv.Atoi(m[2]) // digits only
		for list.Len() <= n {
			list.Set(reflect.Append(list, reflect.Zero(list.Type().Elem())))
		}
		return variables(list.Index(n), "", "")[m[3]].set(text)
	}
	return false
}

// Environment is the process environment as a map.
func Environment() map[string]string {
	vars := map[string]string{}
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		vars[name] = value
	}
	return vars
}
