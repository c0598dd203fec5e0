// Package topic holds what MQTT says about Topic Names and Topic Filters: their
// form, which filter matches which name, who subscribed, and what is kept.
package topic
