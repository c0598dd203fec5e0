// Package topic holds what MQTT says about Topic Names and Topic Filters (section
// 4.7 and, for Shared Subscriptions, 4.8.2 of MQTT 5.0): their form (CheckName,
// CheckFilter, Share), which filter matches which name (Match), who subscribed to
// what (Router), and what is kept under which name (Tree). It can be used alone.
//
// # Cost
//
// Router and Tree keep what they have in tries by level. With L levels in the name
// and K subscriptions that match it, Router.Match visits at most min(2^L, nodes)
// nodes and yields K times: at each level the literal child, the child + and the
// child # may match, and only children of those are looked at. Filters without +
// cost at most L+1 visits. What does not match costs nothing, shared or not,
// because groups stand in the node of their filter. Tree.Match visits those nodes
// only that lie on the way to a match or have a beginning that the filter matches.
//
// Subscribe, Unsubscribe, Set, Get and Delete take O(L), whatever else there is; none
// goes down by recursion. A million clients with one subscription each, to filters
// such as device/0000001/state, take about 175 bytes each, a million names about
// 75, without the text of the topics.
package topic
