package com.facebook.react.jstasks

import com.facebook.react.bridge.WritableMap

class HeadlessJsTaskConfig(taskKey: String, data: WritableMap, timeout: Long = 0, isAllowedInForeground: Boolean = false)
