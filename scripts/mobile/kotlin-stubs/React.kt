// As much of React Native's headless tasks as the app's service uses (react-native 0.81, ReactAndroid).
package com.facebook.react

import android.app.Service
import android.content.Intent
import android.os.IBinder
import com.facebook.react.jstasks.HeadlessJsTaskConfig

abstract class HeadlessJsTaskService : Service() {
  protected open fun getTaskConfig(intent: Intent?): HeadlessJsTaskConfig? = null

  override fun onBind(intent: Intent): IBinder? = null

  protected fun startTask(taskConfig: HeadlessJsTaskConfig) {}
}
