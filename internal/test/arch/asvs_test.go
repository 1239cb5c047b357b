package arch

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// asvs has the levels of all requirements of ASVS 5.0 that docs/asvs.md answers, one digit for
// each by its number in its section; 0 is one of level 3 that is left out.
func asvs() map[string]string {
	return map[string]string{
		"1.1": "22", "1.2": "1111122220", "1.3": "11222222222", "1.4": "222", "1.5": "12",
		"2.1": "122", "2.2": "112", "2.3": "12223", "2.4": "2",
		"3.2": "11", "3.3": "1222", "3.4": "112222", "3.5": "11122", "3.7": "22",
		"4.1": "1223", "4.2": "2", "4.3": "22", "4.4": "1222",
		"5.1": "2", "5.2": "112", "5.3": "11", "5.4": "222",
		"6.1": "122", "6.2": "111111112222", "6.3": "11220003", "6.4": "1122", "6.5": "22222", "6.6": "222", "6.8": "2222",
		"7.1": "222", "7.2": "1111", "7.3": "22", "7.4": "11222", "7.5": "223", "7.6": "22",
		"8.1": "12", "8.2": "112", "8.3": "13", "8.4": "2",
		"9.1": "111", "9.2": "1222",
		"10.1": "22", "10.2": "22", "10.3": "2222", "10.4": "11111222222", "10.5": "22222", "10.6": "22", "10.7": "222",
		"11.1": "22", "11.2": "222", "11.3": "112", "11.4": "1222", "11.5": "2", "11.6": "2",
		"12.1": "122", "12.2": "11", "12.3": "2222",
		"13.1": "2", "13.2": "22222", "13.3": "22", "13.4": "12222",
		"14.1": "22", "14.2": "1222", "14.3": "122",
		"15.1": "122", "15.2": "122", "15.3": "1222222", "15.4": "03",
		"16.1": "2", "16.2": "22222", "16.3": "2222", "16.4": "222", "16.5": "2223",
		"17.1": "2", "17.2": "2222", "17.3": "22",
	}
}

// TestASVS: docs/asvs.md has each requirement of levels 1 and 2 (70 and 183) and seven of level
// 3 once. What is met names a test, a scan or a page; what is not says why. That the named tests
// exist is [TestDocsNameTestsThatExist].
func TestASVS(t *testing.T) {
	page, err := os.ReadFile("../../../docs/asvs.md")
	if err != nil {
		t.Fatal(err)
	}
	want, counts := map[string]string{}, map[string]int{}
	for section, levels := range asvs() {
		for i, level := range levels {
			if level != '0' {
				want[section+"."+strconv.Itoa(i+1)] = string(level)
				counts[string(level)]++
			}
		}
	}
	if counts["1"] != 70 || counts["2"] != 183 || counts["3"] != 7 {
		t.Errorf("the list has %v, want 70, 183 and 7", counts)
	}
	states := map[string]int{}
	proof := regexp.MustCompile("`(Test|Fuzz)[A-Z]\\w+`|`scripts/scan S\\d+`|\\]\\([a-z-]+\\.md|\\]\\(#")
	for _, m := range regexp.MustCompile(`(?m)^\| (\d+\.\d+\.\d+) \| (\d) \| ([^|]+) \| ([^|]+) \| (.+) \|$`).FindAllStringSubmatch(string(page), -1) {
		id, level, state, shown := m[1], m[2], m[4], m[5]
		if want[id] != level {
			t.Errorf("%s is there as level %s, want %q, once", id, level, want[id])
		}
		delete(want, id)
		states[state]++
		switch {
		case !slices.Contains([]string{"met", "n/a", "**open**"}, state):
			t.Errorf("%s: state %q", id, state)
		case state == "met" && !proof.MatchString(shown):
			t.Errorf("%s is met without a proof: %s", id, shown)
		}
	}
	for id := range want {
		t.Errorf("%s is missing", id)
	}
	for state, n := range states {
		if said := strings.Trim(state, "*") + " " + strconv.Itoa(n); !strings.Contains(string(page), said) {
			t.Errorf("the page does not say %q", said)
		}
	}
}
