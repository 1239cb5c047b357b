package config

import "strings"

// nearest returns the known key with the smallest edit distance, or "" when all are
// far. Only the first word of a key may be near, too: "pasword" is "password_file".
func nearest[T any](word string, known map[string]T) string {
	best, least := "", len(word)/2+2
	for key := range known {
		d := distance(word, key)
		if first, _, more := strings.Cut(key, "_"); more {
			d = min(d, distance(word, first)+1)
		}
		if d < least || d == least && best != "" && key < best {
			best, least = key, d
		}
	}
	return best
}

// distance is the Levenshtein distance in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
