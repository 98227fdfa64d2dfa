package diag

import "strings"

// Nearest returns the candidate that is most like name, or "" if none is near enough to be meant: at most a third of the
// letters (and at least one, but not all) may differ. One that differs in upper and lower case only is nearest; of two that are
// equally near, the one that begins alike.
func Nearest(name string, candidates []string) string {
	best, bestDist := "", min(max(1, len(name)/3)+1, len(name))
	for _, c := range candidates {
		if strings.EqualFold(c, name) {
			return c
		}
		d := distance(name, c, bestDist+1)
		if d < bestDist || d == bestDist && best != "" && best[0] != name[0] && c != "" && c[0] == name[0] {
			best, bestDist = c, d
		}
	}
	return best
}

// distance is the edit distance of a and b (a swap of neighbours counts as one), or limit if it is not below limit.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	before, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		least := i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], before[j-2]+1)
			}
			least = min(least, cur[j])
		}
		if least >= limit {
			return limit
		}
		before, prev, cur = prev, cur, before
	}
	return prev[len(b)]
}
